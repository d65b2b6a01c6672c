"""What holds for every request and answer: headers, limits, problems, the log; and the two static sites."""
