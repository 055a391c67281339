// The list of all runs.
"use strict";
(() => {
  const { byId, make } = Live;
  const runs = new Map();  // id -> what is known of it, in the order of the server
  const cards = new Map();

  function card(run) {
    const li = make("li");
    const a = make("a", run.live || "");
    a.href = `/runs/${encodeURIComponent(run.id)}`;
    a.append(make("b", "", run.name), make("span", "word-state", run.live || "reading"));
    if (run.iterations !== undefined) {
      const keeps = `${run.keeps.toLocaleString("en")} ${run.keeps === 1 ? "keep" : "keeps"}`;
      const best = run.best ? `, best ${run.best}` : "";
      a.append(make("span", "counts-line", `${keeps}${best}`));
      if (run.doing) a.append(make("span", "doing", run.doing));
      if (run.fraction !== null) {
        const bar = make("progress");
        bar.max = 1;
        bar.value = run.fraction;
        a.append(bar);
      }
      a.append(make("span", `state ${run.style}`, [run.state, run.device].filter(Boolean).join(" ")));
    }
    li.append(a);
    return li;
  }

  function show(run) {
    const fresh = card(run);
    const before = cards.get(run.id);
    if (before) before.replaceWith(fresh);
    cards.set(run.id, fresh);
    return fresh;
  }

  function choices() {
    byId("compare").hidden = runs.size < 2;
    for (const [n, id] of ["a", "b"].entries()) {
      const select = byId(id), chosen = select.value;
      select.replaceChildren(...[...runs.values()].map((run) => {
        const option = make("option", "", run.name);
        option.value = run.id;
        return option;
      }));
      if (runs.has(chosen)) select.value = chosen;
      else select.selectedIndex = Math.min(n, runs.size - 1);
    }
  }

  function about() {
    const all = [...runs.values()];
    const working = all.filter((run) => run.live === "running" || run.live === "starting").length;
    byId("about").textContent = all.length
      ? `${all.length.toLocaleString("en")} ${all.length === 1 ? "run" : "runs"}, ${working} at work.`
      : "There is no run in these directories yet.";
  }

  Live.follow("/events", {
    list(data) {
      runs.clear();
      cards.clear();
      for (const run of data.runs) runs.set(run.id, run);
      byId("runs").replaceChildren(...[...runs.values()].map(show));
      byId("problems").replaceChildren(...data.problems.map((text) => make("li", "", text)));
      choices();
      about();
    },
    runs(changed) {
      for (const run of changed) if (runs.has(run.id)) { runs.set(run.id, run); show(run); }
      about();
    },
  });
})();
