export function Adopt() {
  return (
    <pre tabIndex={0} aria-label="Commands to adopt the first server">
      {
        "spot adopt i-0123456789abcdef0 --name orders \\\n    --region us-east-1 --handoff volumes --dry-run\n"
      }
      {"spot adopt i-0123456789abcdef0 --name orders \\\n    --region us-east-1 --handoff volumes"}
    </pre>
  );
}
