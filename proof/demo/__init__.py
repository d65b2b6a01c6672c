"""The main job, played on the lab, with every promise checked."""
