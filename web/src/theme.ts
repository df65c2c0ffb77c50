// SPDX-License-Identifier: Apache-2.0
// Dark or light: what the system says until the person chooses.

import { signal, effect } from "@preact/signals";

export type Theme = "dark" | "light";
const media = matchMedia("(prefers-color-scheme: light)");
const system = (): Theme => (media.matches ? "light" : "dark");
const saved = localStorage.getItem("theme");

export const theme = signal<Theme>(saved === "dark" || saved === "light" ? saved : system());
media.addEventListener("change", () => {
  if (!localStorage.getItem("theme")) theme.value = system();
});
effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

export function toggle(): void {
  theme.value = theme.value === "dark" ? "light" : "dark";
  localStorage.setItem("theme", theme.value);
}
