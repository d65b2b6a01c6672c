import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import manifest from "./package.json" with { type: "json" };

// The API serves dist/ at `/`. For `npm run dev`, SPOT_URL names a running API.
const api = process.env.SPOT_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  define: { __PAGE_VERSION__: JSON.stringify(manifest.version) },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // nothing as data: URL, which the content security policy would refuse
    modulePreload: { polyfill: false }, // the polyfill is of no use to browsers of that target
  },
  worker: { format: "es" },
  server: { proxy: { "/api": api, "/health": api } },
  test: {
    environment: "happy-dom",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/testing/setup.ts"],
  },
});
