import { Activity, ChartNoAxesColumn, LayoutGrid, PiggyBank, Settings, ShieldCheck } from "lucide-react";
import { Suspense } from "react";
import { NavLink, Outlet, ScrollRestoration, useNavigation } from "react-router";
import { Brand } from "./Brand";
import { ConnectionBanner, ConnectionDot } from "./ConnectionState";
import { useSession } from "./SessionContext";
import { ThemeChoice } from "./ThemeChoice";

const PLACES = [
  { to: "/", label: "Fleet", icon: LayoutGrid },
  { to: "/market", label: "Market", icon: ChartNoAxesColumn },
  { to: "/savings", label: "Savings", icon: PiggyBank },
  { to: "/activity", label: "Activity", icon: Activity },
  { to: "/settings", label: "Settings", icon: Settings },
];

export function Shell() {
  const { session, signOut } = useSession();
  const admin = session.kind === "admin";
  const places = admin ? [...PLACES, { to: "/admin", label: "Admin", icon: ShieldCheck }] : PLACES;
  const loading = useNavigation().state === "loading";
  return (
    <div className="shell">
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="shell__side">
        <Brand />
        <nav aria-label="Main">
          {places.map(({ to, label, icon: Icon }) => (
            <NavLink key={to} to={to} end={to === "/"} className="shell__link">
              <Icon aria-hidden />
              <span>{label}</span>
            </NavLink>
          ))}
        </nav>
        <div className="shell__foot">
          <ConnectionDot />
          <ThemeChoice />
          <div className="shell__who">
            <span className="truncate">{session.client_name || "Admin"}</span>
            <button type="button" className="shell__out" onClick={signOut}>
              Sign out
            </button>
          </div>
        </div>
      </header>
      <div className="shell__content">
        <ConnectionBanner />
        {loading && <div className="shell__progress" role="progressbar" aria-label="Loading the screen" />}
        <main id="main" tabIndex={-1}>
          <Suspense>
            <Outlet />
          </Suspense>
        </main>
      </div>
      <ScrollRestoration />
    </div>
  );
}
