export function Component() { return <p>Market</p>; }
