// The light and dark themes, and the buttons that copy and save the best configuration.
"use strict";
const Page = (() => {
  const root = document.documentElement;
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];

  function theme() {
    return root.dataset.theme || (systemDark.matches ? "dark" : "light");
  }

  function applyTheme() {
    document.getElementById("theme").textContent = theme() === "dark" ? "Light" : "Dark";
    for (const listener of listeners) listener(theme());
  }

  function remember(name) {
    try {
      localStorage.setItem("autoresearch-theme", name);
    } catch { /* some browsers store nothing for a local file: then the choice lasts until the page is closed */ }
  }

  function recall() {
    try {
      return localStorage.getItem("autoresearch-theme");
    } catch {
      return null;
    }
  }

  async function copy(button) {
    const text = document.getElementById("best").textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById("best"));
      button.textContent = "Selected: press Ctrl-C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  function save(button) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([document.getElementById("best").textContent], { type: "text/plain" }));
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function onClick(id, action) {
    const button = document.getElementById(id);
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => action(button));
  }

  const stored = recall();
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  onClick("theme", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
    applyTheme();
  });
  onClick("copy", copy);
  onClick("save", save);
  systemDark.addEventListener("change", applyTheme);
  applyTheme();
  return { theme, onTheme: (listener) => listeners.push(listener) };
})();
