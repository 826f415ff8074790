"use strict";
const byId = (id) => document.getElementById(id);
const boxes = ["words", "source", "kind"].map(byId).filter((one) => one !== null);
const cards = [...document.querySelectorAll("#gallery article, #lowest article")].map((article) => {
  const shots = [...article.querySelectorAll("svg.shot")];
  const said = [...article.querySelectorAll(".queries li")].map((line) => {
    const plain = line.cloneNode(true);
    plain.querySelectorAll("b.n").forEach((number) => number.remove());
    return plain.textContent;
  });
  return {
    article,
    key: shots[0].dataset.key,
    words: plainly([shots[0].dataset.key, ...said].join("\n")),
    source: shots.map((shot) => shot.dataset.source),
    kind: shots.flatMap((shot) => shot.dataset.kinds.split(" ")),
  };
});
let now = -1;

function plainly(text) {
  return text.toLowerCase().replace(/[^\S\n]+/g, " ");
}

function filter() {
  const wanted = Object.fromEntries(boxes.map((one) => [one.id, one.value]));
  const words = plainly(wanted.words).trim();
  for (const card of cards) {
    card.article.hidden =
      !card.words.includes(words) ||
      (wanted.source && !card.source.includes(wanted.source)) ||
      (wanted.kind && !card.kind.includes(wanted.kind));
  }
  const shown = cards.filter((card) => !card.article.hidden).length;
  byId("shown").value = shown === cards.length ? "" : `${shown} of ${cards.length} shown`;
}

function go(place) {
  if (place < 0 || place >= cards.length) return;
  document.querySelector("article.now")?.classList.remove("now");
  now = place;
  cards[now].article.classList.add("now");
  cards[now].article.scrollIntoView({ block: "start" });
}

function step(by) {
  let place = now + by;
  while (place >= 0 && place < cards.length && cards[place].article.hidden) place += by;
  go(place);
}

function jump() {
  const wanted = byId("jump").value.trim();
  let place = cards.findIndex((card) => card.key === wanted);
  if (place < 0 && /^\d+$/.test(wanted)) {
    place = Number(wanted) <= cards.length ? Number(wanted) - 1 : cards.findIndex((card) => card.key.endsWith(wanted));
  }
  if (place < 0 && wanted) place = cards.findIndex((card) => card.key.includes(wanted));
  if (place < 0) {
    byId("shown").value = wanted ? "no such photo here" : "";
    return;
  }
  if (cards[place].article.hidden) {
    boxes.forEach((one) => (one.value = ""));
    filter();
  }
  go(place);
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, select");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const does = { j: () => step(1), k: () => step(-1), "/": () => byId("words").focus() }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

if (cards.length) {
  for (const key of new Set(cards.map((card) => card.key))) byId("keys").append(new Option(key));
  boxes.forEach((one) => one.addEventListener("input", filter));
  byId("jump").addEventListener("change", jump);
  document.addEventListener("keydown", pressed);
  filter();
  byId("find").hidden = false;
}
