import { Monitor, Moon, Sun } from "lucide-react";
import { chooseTheme, useTheme, type Theme } from "./theme";

const CHOICES: { theme: Theme; label: string; icon: typeof Sun }[] = [
  { theme: "light", label: "Light", icon: Sun },
  { theme: "system", label: "As the system", icon: Monitor },
  { theme: "dark", label: "Dark", icon: Moon },
];

export function ThemeChoice() {
  const chosen = useTheme();
  return (
    <div className="segments segments--icons" role="group" aria-label="Colours">
      {CHOICES.map(({ theme, label, icon: Icon }) => (
        <button
          key={theme}
          type="button"
          aria-pressed={theme === chosen}
          aria-label={label}
          title={label}
          onClick={() => chooseTheme(theme)}
        >
          <Icon aria-hidden />
        </button>
      ))}
    </div>
  );
}
