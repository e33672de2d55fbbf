// Keeps a page fresh. The server renders; this swaps the parts marked data-live when told that something changed.
// Without it every page works the same, it is only not live, and says when it was made.
"use strict";

(function () {
  const QUIET_MS = 15000; // The server pings at least every ten seconds.
  const SPREAD_MS = 150; // Several changes in a row become one fetch.
  const words = document.body.dataset;
  const light = document.getElementById("live");
  let heard = Date.now();
  let fetching = false;
  let again = false;
  let timer = 0;

  function show(live) {
    const text = live ? words.liveOn : words.liveOff.replace("{at}", new Date(heard).toLocaleTimeString());
    light.classList.toggle("on", live);
    light.classList.toggle("off", !live);
    if (light.lastElementChild.textContent !== text) light.lastElementChild.textContent = text;
  }

  function busy(part) {
    // Never take a field away from somebody who is typing.
    const field = document.activeElement;
    if (field && part.contains(field) && field.matches("input, textarea, select")) return true;
    return Array.from(part.querySelectorAll("input:not([type=hidden]), textarea")).some(function (input) {
      return input.value !== input.defaultValue;
    });
  }

  function swap(fresh) {
    document.title = fresh.title;
    document.querySelectorAll("[data-live]").forEach(function (part) {
      const twin = fresh.querySelector('[data-live="' + part.dataset.live + '"]');
      if (!twin || busy(part) || twin.innerHTML === part.innerHTML) return;
      const open = {};
      part.querySelectorAll("details[id]").forEach(function (item) { open[item.id] = item.open; });
      part.className = twin.className;
      part.replaceChildren.apply(part, Array.from(document.importNode(twin, true).childNodes));
      part.querySelectorAll("details[id]").forEach(function (item) {
        if (item.id in open) item.open = open[item.id];
      });
    });
    const tabs = document.querySelector(".tabs");
    const freshTabs = fresh.querySelector(".tabs");
    if (tabs && freshTabs && tabs.innerHTML !== freshTabs.innerHTML) {
      tabs.replaceChildren.apply(tabs, Array.from(document.importNode(freshTabs, true).childNodes));
    }
  }

  function refresh() {
    if (fetching) { again = true; return; }
    fetching = true;
    const address = new URL(location.href);
    address.searchParams.delete("done");
    fetch(address, { credentials: "same-origin" })
      .then(function (answer) { if (!answer.ok) throw new Error(String(answer.status)); return answer.text(); })
      .then(function (text) {
        heard = Date.now();
        swap(new DOMParser().parseFromString(text, "text/html"));
        show(true);
      })
      .catch(function () { show(false); })
      .finally(function () { fetching = false; if (again) { again = false; soon(); } });
  }

  function soon() {
    window.clearTimeout(timer);
    timer = window.setTimeout(refresh, SPREAD_MS);
  }

  const here = document.querySelector(".tabs [aria-current]");
  if (here) here.parentElement.scrollLeft = here.offsetLeft - 16;
  if (!light || !window.EventSource || !document.querySelector("[data-live]")) return;
  const stream = new EventSource("/events");
  function alive() { heard = Date.now(); show(true); }
  stream.addEventListener("hello", function () { alive(); soon(); });
  stream.addEventListener("ping", alive);
  stream.addEventListener("changed", function () { alive(); soon(); });
  stream.addEventListener("trouble", function () { show(false); });
  stream.addEventListener("error", function () { show(false); });
  window.setInterval(function () { if (Date.now() - heard > QUIET_MS) show(false); }, 5000);
  // "12 s ago" grows old on a quiet page too.
  window.setInterval(function () { if (!document.hidden) refresh(); }, 10000);
  document.addEventListener("visibilitychange", function () { if (!document.hidden) refresh(); });
})();
