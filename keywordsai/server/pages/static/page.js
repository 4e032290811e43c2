// Progressive enhancement of the log server's page: everything works without it.
// It turns times into local ones, keeps the table of logs live, and copies.
"use strict";

(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector) => document.querySelector(selector);
  const two = (number) => String(number).padStart(2, "0");

  // ---- Times: UTC from the server, local here -------------------------------

  const localDate = (at) =>
    `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const localClock = (at) =>
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

  function localize(root) {
    for (const time of all("time[datetime]", root)) {
      const at = new Date(time.dateTime);
      const [date, clock] = [time.querySelector(".date"), time.querySelector(".clock")];
      if (isNaN(at) || !date || !clock) continue;
      date.textContent = localDate(at);
      clock.textContent = localClock(at);
    }
    for (const title of all("title[data-at]", root)) {
      const at = new Date(title.dataset.at);
      if (isNaN(at)) continue;
      const [, ...words] = title.textContent.split("\n");
      title.textContent = [`${localDate(at)} ${localClock(at)}`, ...words].join("\n");
    }
  }

  // ---- The form: local times in its fields, nothing empty in its URL --------

  function improveForm(form) {
    const fields = all("[data-utc]", form);
    for (const field of fields) {
      const at = new Date(`${field.value}Z`);
      if (field.value && !isNaN(at)) field.value = `${localDate(at)}T${localClock(at)}`;
      field.addEventListener("input", () => {
        const time = form.elements.time;
        if (![...time.options].some((option) => option.value === "custom")) {
          time.add(new Option("From – to", "custom"));
        }
        time.value = fields.some((other) => other.value) ? "custom" : "all";
      });
    }
    form.elements.time.addEventListener("change", (event) => {
      if (event.target.value !== "custom") for (const field of fields) field.value = "";
    });
    form.addEventListener("formdata", ({ formData }) => {
      for (const field of fields) {
        const at = new Date(field.value);
        if (field.value && !isNaN(at)) formData.set(field.name, at.toISOString());
      }
      for (const [name, value] of [...formData]) if (!value) formData.delete(name);
    });
  }

  // ---- Copying --------------------------------------------------------------

  async function put(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    // Without TLS, off this machine: the old way.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("not copied");
  }

  function improveCopy(button) {
    const words = button.innerHTML;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        const { copy, copyFrom } = button.dataset;
        if (copyFrom) {
          const answer = await fetch(copyFrom);
          if (!answer.ok) throw new Error(answer.statusText);
          await put(await answer.text());
        } else {
          await put(document.getElementById(copy).textContent);
        }
        button.textContent = "Copied";
      } catch {
        button.textContent = "Could not copy";
      }
      setTimeout(() => { button.innerHTML = words; }, 1800);
    });
  }

  // ---- Live -----------------------------------------------------------------

  const MOST = 100; // rows of the table, as the server has them
  const SCROLLED = 80; // pixels from which on one is reading

  function keepLive(button) {
    const body = one("[data-rows]");
    const text = one("[data-live-text]");
    const said = one("[data-live-said]");
    const title = document.title;
    const url = button.dataset.live;
    let newest = button.dataset.newest;
    let held = []; // rows that wait, newest first
    let byHand = false;
    let hovered = false;
    let connected = false;
    let events = null;
    let pulling = null;
    let again = false;

    const focused = () => body !== null && body.contains(document.activeElement);
    const paused = () => byHand || hovered || focused() || scrollY > SCROLLED;

    function show() {
      const still = paused();
      const words = !connected ? "Connecting…" : still ? "Paused" : "Live";
      button.dataset.state = !connected ? "off" : still ? "paused" : "live";
      text.textContent = held.length ? `${words}, ${held.length} new` : words;
      document.title = held.length ? `(${held.length}) ${title}` : title;
    }

    function release() {
      if (!held.length || body === null) return;
      const count = held.length;
      for (const row of all("tr.fresh", body)) row.classList.remove("fresh");
      for (const row of held) row.classList.add("fresh");
      body.prepend(...held.slice(0, MOST));
      held = [];
      while (body.rows.length > MOST) body.rows[body.rows.length - 1].remove();
      const older = one("[data-older]");
      if (older) {
        const query = new URLSearchParams(older.search);
        query.set("before", body.rows[body.rows.length - 1].dataset.id);
        older.search = query;
      }
      said.textContent = `${count} new ${count === 1 ? "log" : "logs"}`;
    }

    function update() {
      if (!paused()) release();
      show();
    }

    async function pull() {
      for (let full = true; full; ) {
        const query = new URLSearchParams(url.split("?")[1] || "");
        query.set("rows", "1");
        if (newest) query.set("after", newest);
        const answer = await fetch(`/logs?${query}`, { redirect: "error" });
        if (!answer.ok) return;
        const page = `<table><tbody>${await answer.text()}</tbody></table>`;
        const rows = all("tr", new DOMParser().parseFromString(page, "text/html"));
        if (!rows.length) return;
        if (body === null) return location.reload(); // there was no table
        const fresh = rows.map((row) => document.importNode(row, true));
        for (const row of fresh) localize(row);
        newest = fresh[0].dataset.id;
        held = [...fresh, ...held];
        full = rows.length >= MOST;
        update();
      }
    }

    function wake() {
      if (pulling) { again = true; return; }
      pulling = pull()
        .catch(() => {}) // the next event tries again
        .finally(() => {
          pulling = null;
          if (again) { again = false; wake(); }
        });
    }

    function connect() {
      if (events) return;
      events = new EventSource("/_events");
      events.addEventListener("open", () => { connected = true; show(); wake(); });
      events.addEventListener("error", () => { connected = false; show(); });
      events.addEventListener("logs", wake);
    }

    function disconnect() {
      if (events) events.close();
      events = null;
      connected = false;
    }

    if (body !== null) {
      body.addEventListener("pointerenter", (event) => {
        if (event.pointerType === "mouse") { hovered = true; update(); }
      });
      body.addEventListener("pointerleave", () => { hovered = false; update(); });
      body.addEventListener("focusin", update);
      body.addEventListener("focusout", () => setTimeout(update));
      addEventListener("scroll", update, { passive: true });
    }
    button.addEventListener("click", () => {
      if (paused()) {
        byHand = false;
        scrollTo({ top: 0 });
        release();
      } else {
        byHand = true;
      }
      show();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) disconnect();
      else connect();
    });
    addEventListener("pagehide", disconnect);
    addEventListener("pageshow", () => { if (!document.hidden) connect(); });

    one("[data-reload]").hidden = true;
    button.hidden = false;
    show();
    if (!document.hidden) connect();
  }

  localize(document);
  for (const zone of all("[data-zone]")) {
    zone.textContent = zone.textContent.startsWith("(") ? "(local time)" : "";
  }
  all("[data-filters]").forEach(improveForm);
  all("[data-copy], [data-copy-from]").forEach(improveCopy);
  all("[data-live]").forEach(keepLive);
})();
