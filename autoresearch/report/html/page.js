// Light and dark, and the best configuration to take away.
"use strict";
const Page = (() => {
  const root = document.documentElement;
  const asked = matchMedia("(prefers-color-scheme: dark)");
  const listeners = [];

  function theme() {
    return root.dataset.theme || (asked.matches ? "dark" : "light");
  }

  function changed() {
    document.getElementById("theme").textContent = theme() === "dark" ? "Light" : "Dark";
    for (const listener of listeners) listener(theme());
  }

  function remember(name) {
    try {
      localStorage.setItem("autoresearch-theme", name);
    } catch { /* a browser may keep nothing for a file: then it lasts until it is closed */ }
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

  function on(id, action) {
    const button = document.getElementById(id);
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => action(button));
  }

  const known = recall();
  if (known === "light" || known === "dark") root.dataset.theme = known;
  on("theme", () => {
    root.dataset.theme = theme() === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
    changed();
  });
  on("copy", copy);
  on("save", save);
  asked.addEventListener("change", changed);
  changed();
  return { theme, onTheme: (listener) => listeners.push(listener) };
})();
