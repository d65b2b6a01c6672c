import { createBrowserRouter, Navigate } from "react-router";
import { Fleet } from "../screens/fleet/Fleet";
import { Missing } from "./Missing";
import { Shell } from "./Shell";

// Only the first screen is in the first load; charts come with the screens that draw them.
export const router = createBrowserRouter([
  {
    element: <Shell />,
    errorElement: <Missing />,
    children: [
      { index: true, element: <Fleet /> },
      { path: "fleet", element: <Navigate to="/" replace /> },
      { path: "servers/:serverId", lazy: () => import("../screens/server/Server") },
      { path: "operations/:operationId", lazy: () => import("../screens/operation/Operation") },
      { path: "market", lazy: () => import("../screens/market/Market") },
      { path: "savings", lazy: () => import("../screens/savings/Savings") },
      { path: "activity", lazy: () => import("../screens/activity/Activity") },
      { path: "settings", lazy: () => import("../screens/settings/Settings") },
      { path: "admin", lazy: () => import("../screens/admin/Admin") },
      { path: "*", element: <Missing /> },
    ],
  },
]);
