// Keeps a page up to date: parts of it come by server-sent events, figures are Plotly's, times are counted here.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");

function themed(layout) {
  const ink = dark.matches ? "#d7dde4" : "#1d2733";
  const line = dark.matches ? "#39434f" : "#dfe4ea";
  const themedLayout = {...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: {...(layout.font || {}), color: ink, family: "system-ui, sans-serif"}};
  for (const key of Object.keys(themedLayout).filter((name) => /^[xy]axis\d*$/.test(name))) {
    themedLayout[key] = {...themedLayout[key], gridcolor: line, zerolinecolor: line, linecolor: line};
  }
  return themedLayout;
}

const figures = {};  // by element id: what is drawn when it comes into sight, and again when its part is written anew

function draw(element) {
  const figure = figures[element.id];
  if (!window.Plotly || !figure) return;
  Plotly.react(element, figure.data, themed(figure.layout), {responsive: true, displaylogo: false, displayModeBar: false});
}

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    entry.target.seen = entry.isIntersecting;
    if (entry.isIntersecting) draw(entry.target);
  }
}, {rootMargin: "300px"});

function drawFigure(element, figure) {
  figures[element.id] = figure;
  if (element.seen) draw(element);
  else if (element.seen === undefined) sight.observe(element);
}

function keepFigure(place, drawn) {  // the one that is drawn already stays: a new one flickers and leaves the old in memory
  const old = drawn.get(place.id);
  if (old) {
    old.setAttribute("aria-label", place.getAttribute("aria-label"));
    place.replaceWith(old);
    drawn.delete(place.id);
  } else if (figures[place.id]) drawFigure(place, figures[place.id]);
}

function letGo(element) {
  sight.unobserve(element);
  if (window.Plotly) Plotly.purge(element);
}

addEventListener("beforeprint", () => document.querySelectorAll(".figure").forEach(draw));

const written = {};  // by element id

function unchanged(element, value) {  // what is written anew under a finger or a pointer loses the click
  if (written[element.id] === value) return true;
  written[element.id] = value;
  const made = element.cloneNode(false);
  made.innerHTML = value;
  return made.isEqualNode(element);
}

function patch(parts) {
  for (const [id, value] of Object.entries(parts)) {
    const element = document.getElementById(id);
    if (typeof value !== "string") {
      figures[id] = value;
      if (element) drawFigure(element, value);
      continue;
    }
    if (!element || unchanged(element, value)) continue;
    const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 8;
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    const mark = focused && (focused.id || focused.getAttribute("href") || focused.textContent);
    const open = [...element.querySelectorAll("details")].map((each) => each.open).reverse();  // newest come first
    const drawn = new Map([...element.querySelectorAll(".figure")].map((each) => [each.id, each]));
    element.innerHTML = value;  // rendered and escaped by the gateway
    [...element.querySelectorAll("details")].reverse().forEach((each, number) => { each.open = open[number] || false; });
    for (const place of element.querySelectorAll(".figure")) keepFigure(place, drawn);
    drawn.forEach(letGo);
    if (element.classList.contains("log") && atEnd) element.scrollTop = element.scrollHeight;
    if (mark) {
      for (const candidate of element.querySelectorAll("a, button, input, summary")) {
        if ((candidate.id || candidate.getAttribute("href") || candidate.textContent) === mark) candidate.focus();
      }
    }
  }
  countTimes();
}

function follow(address) {
  const lost = document.getElementById("connection");
  const source = new EventSource(address);
  source.onopen = () => { lost.hidden = true; };
  source.onmessage = (event) => patch(JSON.parse(event.data));
  source.addEventListener("final", () => source.close());
  source.onerror = () => {
    lost.hidden = false;
    if (source.readyState === EventSource.CLOSED) setTimeout(() => { source.close(); follow(address); }, 2000);
  };
  addEventListener("pagehide", () => source.close(), {once: true});
}

function words(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function countTimes() {
  for (const element of document.querySelectorAll("[data-since]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(element.dataset.since)) / 1000));
    element.textContent = words(seconds);
  }
}

// Forms that came later than the page lack the session's token.
addEventListener("submit", (event) => {
  const meta = document.querySelector("meta[name='form-token']");
  if (!meta || event.target.method !== "post" || event.target.elements.csrf_token) return;
  const field = Object.assign(document.createElement("input"), {type: "hidden", name: "csrf_token", value: meta.content});
  event.target.append(field);
});

addEventListener("DOMContentLoaded", () => {
  for (const element of document.querySelectorAll("script[type='application/json'][data-figure]")) {
    drawFigure(document.getElementById(element.dataset.figure), JSON.parse(element.textContent));
  }
  for (const log of document.querySelectorAll(".log")) log.scrollTop = log.scrollHeight;
  dark.addEventListener("change", () => {
    for (const element of document.querySelectorAll(".figure")) if (element.seen) draw(element);
  });
  if (document.body.dataset.live) follow(document.body.dataset.live);
  setInterval(countTimes, 1000);
});
