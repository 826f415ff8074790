"use strict";

// The address says what is shown: ?text=…&where=… or ?like=KEY:OBJECT. Text of the data is only ever textContent.

const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);
let latest = 0; // the last request: earlier ones that answer later are not shown

function make(tag, attributes = {}, ...children) {
  const one = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  one.append(...children);
  return one;
}

function draw(tag, attributes) {
  const one = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  return one;
}

function picture(answer) {
  if (answer.photo === "gone") return make("div", { class: "gone" }, "the photo is gone");
  if (answer.photo === "changed") return make("div", { class: "gone" }, "the photo has changed");
  const { width, height } = answer;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": answer.key });
  svg.append(draw("image", { href: `/photo/${encodeURIComponent(answer.key)}`, width, height }));
  const [x0, y0, x1, y1] = answer.box_xyxy;
  const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
  svg.append(draw("rect", { class: "halo", ...place }), draw("rect", { class: "box", ...place }));
  return svg;
}

function card(answer) {
  const instance = `${answer.key}:${answer.object}`;
  const score = make("span", {}, answer.score.toFixed(3));
  const under = make("div", { class: "under" }, make("span", {}, `${answer.rank}`), score);
  const name = make("div", { class: "key" }, `${instance} · ${answer.source} · ${answer.file_name}`);
  const button = make("button", { class: "card", type: "button", title: "more like this" }, picture(answer), under, name);
  button.dataset.instance = instance;
  button.addEventListener("click", () => go({ like: instance }));
  return make("li", {}, button);
}

function say(text, isWarning = false) {
  at("status").textContent = text;
  at("status").className = isWarning ? "warn" : "";
}

function show(answers) {
  const [found] = answers.queries;
  const like = found.kind === "like" ? "more like " : "";
  const how = answers.is_exact ? "" : ", probably the best";
  if (found.answers.length) say(`${like}${found.query}: the best ${found.answers.length}${how}`);
  else say(`${like}${found.query}: nothing in the index fits`, true);
  at("answers").replaceChildren(...found.answers.map(card));
}

async function ask(wanted) {
  const mine = ++latest;
  at("text").value = wanted.get("text") ?? "";
  at("where").value = wanted.get("where") ?? "";
  if (!wanted.get("text") && !wanted.get("like")) {
    at("answers").replaceChildren();
    say("Say what to look for.");
    return;
  }
  say("searching …");
  try {
    const answer = await fetch(`/api/search?${wanted}`);
    const said = await answer.json();
    if (mine !== latest) return;
    if (answer.ok) show(said);
    else {
      at("answers").replaceChildren();
      say(said.error, true);
    }
  } catch (error) {
    if (mine === latest) say(`the server does not answer (${error.message}); is xdetr-search serve still running?`, true);
  }
}

function go(wanted) {
  const where = at("where").value.trim();
  const address = new URLSearchParams(where ? { ...wanted, where } : wanted);
  history.pushState(null, "", `?${address}`);
  ask(address);
  scrollTo(0, 0);
}

function move(step) {
  const cards = [...document.querySelectorAll("button.card")];
  const next = cards.indexOf(document.activeElement) + step;
  cards[Math.max(0, Math.min(cards.length - 1, next))]?.focus();
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (text) go({ text });
});
addEventListener("popstate", () => ask(new URLSearchParams(location.search)));
addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    at("text").select();
    at("text").focus();
  } else if (event.key === "Escape" && isTyping) event.target.blur();
  else if (!isTyping && event.key === "ArrowRight") move(1);
  else if (!isTyping && event.key === "ArrowLeft") move(-1);
});
fetch("/api/about").then((answer) => answer.json()).then((about) => {
  at("about").textContent = `${about.objects.toLocaleString("en")} objects of ${about.photos.toLocaleString("en")} photos`;
});
if (location.search) ask(new URLSearchParams(location.search));
