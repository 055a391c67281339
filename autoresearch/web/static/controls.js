// Pause, resume and stop: only where the server offers them. Each is a POST with a secret that only our page can read.
"use strict";
(() => {
  const { byId, make } = Live;
  const NAMES = { pause: "Pause after this trial", "pause-now": "Pause now", resume: "Resume", stop: "Stop" };
  let form = "";

  async function act(action, button) {
    if (action === "stop" && !confirm("Stop this run after its running trial?")) return;
    button.disabled = true;
    try {
      const answer = await fetch(`${location.pathname.replace(/\/$/, "")}/control/${action}`, {
        method: "POST", headers: { "X-Autoresearch-Form": form },
      });
      byId("answer").textContent = (await answer.json()).text;
    } catch {
      byId("answer").textContent = "The server did not answer.";
    } finally {
      button.disabled = false;
    }
  }

  async function offer() {
    const answer = await fetch("/controls");
    if (!answer.ok) return;
    const offered = await answer.json();
    form = offered.form;
    byId("controls").replaceChildren(...offered.actions.map((action) => {
      const button = make("button", "", NAMES[action] || action);
      button.type = "button";
      button.addEventListener("click", () => act(action, button));
      return button;
    }));
    byId("controls").hidden = !offered.actions.length;
  }

  offer();
})();
