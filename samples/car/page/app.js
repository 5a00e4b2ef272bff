"use strict";
// The head unit and the car's controls: a VISS version 2 client for what is shown, POST /controls for what is turned.

const SCREEN = "Vehicle.Layby.HeadUnit.Screen";
const DOOR = "Vehicle.Cabin.Door.Row1.DriverSide";
const SIGNAL = {
  gear: "Vehicle.Powertrain.Transmission.SelectedGear",
  parking_brake: "Vehicle.Chassis.ParkingBrake.IsEngaged",
  power: "Vehicle.LowVoltageSystemState",
  driver: "Vehicle.Cabin.Seat.Row1.DriverSide.IsOccupied",
  doors: DOOR + ".IsOpen",
  locked: DOOR + ".IsLocked",
  cable: "Vehicle.Powertrain.TractionBattery.Charging.IsChargingCableConnected",
  soc: "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed",
  battery: "Vehicle.LowVoltageBattery.CurrentVoltage",
  bearer: "Vehicle.Layby.Bearer",
  private_mode: "Vehicle.Layby.IsPrivateMode",
  language: "Vehicle.Cabin.Infotainment.HMI.CurrentLanguage",
  activate_at: "Vehicle.Layby.ActivateAt",
  utc_offset: "Vehicle.Layby.UtcOffset",
};
const YES = { yes: "true", no: "false", on: "true", off: "false" };
// [control, label, [[value, its text or itself, the signal's value], …]]
const KEYS = [
  ["gear", "gear", [["P", "", "126"], ["R", "", "-1"], ["N", "", "0"], ["D", "", "127"]]],
  ["parking_brake", "brake", [["on", "on"], ["off", "off"]]],
  ["power", "power", [["off", "off", "OFF"], ["acc", "acc", "ACC"], ["on", "on", "ON"]]],
  ["driver", "driver", [["in", "in", "true"], ["out", "out", "false"]]],
  ["doors", "doors", [["open", "open", "true"], ["closed", "closed", "false"]]],
  ["locked", "lock", [["yes", "locked"], ["no", "unlocked"]]],
  ["cable", "cable", [["on", "plugged"], ["off", "unplugged"]]],
  ["private_mode", "private", [["on", "on"], ["off", "off"]]],
  ["bearer", "bearer", [["wifi", "wifi"], ["sim", "sim"], ["inserted-sim", "inserted-sim"], ["hotspot", "hotspot"], ["none", "none"]]],
  ["language", "language", [["de", ""], ["en", ""], ["fr", ""], ["it", ""], ["nl", ""]]],
];
const FAULTS = [["fail_activate", "failActivate"], ["fail_health", "failHealth"], ["fail_reload", "failReload"]];
const WIDE = new Set(["gear", "bearer", "language"]);
const LOOKS = {
  downloading: "moving", installing: "moving", activating: "moving", confirming: "moving", active: "done",
  waiting: "held", downloaded: "held", "rolling-back": "broken", failed: "broken", refused: "broken",
};

const values = {};
const faults = {};
let drawn = "";
let connected = false;
let offsetTold = false;

const $ = (id) => document.getElementById(id);
// As the agent looks it up: the first language of the list that there is, whatever its region.
const language = () => (values[SIGNAL.language] || "").toLowerCase().split(",").map((range) => range.trim().split("-")[0])
  .find((tag) => Object.hasOwn(TEXTS, tag)) || "en";
const text = (name) => TEXTS[language()][name];
const filled = (name, argument) => text(name).replace("{}", () => argument);
// The car's local time, as the agent's lines have it; UTC where the car does not know its offset.
const offsetMs = () => Number(values[SIGNAL.utc_offset] || 0) * 60_000;
const local = (unixMs) => new Date(unixMs + offsetMs());
// What has failed is downloaded, and tried again after the next locking.
const isFailed = (update) => Boolean(update.code) && update.state === "downloaded";

function element(tag, className, content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (content !== undefined) made.textContent = content;
  return made;
}

async function turn(controls) {
  let trouble = "";
  try {
    const answer = await fetch("/controls", { method: "POST", body: JSON.stringify(controls) });
    if (!answer.ok) trouble = await answer.text();
  } catch (error) {
    trouble = error.message;
  }
  $("trouble").hidden = trouble === "";
  $("trouble").textContent = trouble && filled("trouble", trouble);
}

// ---- the head unit

function updateCard(update, opened) {
  const card = element("article", "update " + (isFailed(update) ? "broken" : LOOKS[update.state] || ""));
  card.dataset.order = update.order;
  card.dataset.state = update.state;
  const head = element("div", "head");
  const state = isFailed(update) ? "failed" : update.state;
  head.append(element("h3", "", update.title), element("span", "state", text("states")[state] || state));
  card.append(head);
  if (update.percent !== undefined) {
    const progress = element("div", "progress");
    progress.setAttribute("role", "progressbar");
    progress.setAttribute("aria-valuenow", update.percent);
    progress.setAttribute("aria-label", update.title);
    const bar = element("span");
    bar.style.width = update.percent + "%";
    progress.append(bar);
    card.append(progress);
  }
  const lines = element("ul", "lines");
  for (const line of update.lines) lines.append(element("li", "", line));
  card.append(lines);
  const isSaid = update.lines.some((line) => line.includes(update.duration));
  if (update.duration && update.state !== "active" && !isSaid) card.append(element("p", "duration", filled("duration", update.duration)));
  if (update.notes) {
    const notes = element("details");
    notes.open = opened.has(update.order);
    notes.append(element("summary", "", text("notes")), element("p", "notes", update.notes));
    card.append(notes);
  }
  return card;
}

function drawScreen() {
  const source = (values[SCREEN] || "{}") + language();
  if (source === drawn) return;
  drawn = source;
  const screen = JSON.parse(values[SCREEN] || "{}");
  const updates = screen.updates || [];
  const opened = new Set([...document.querySelectorAll("details[open]")].map((d) => d.parentElement.dataset.order));
  $("updates").replaceChildren(...updates.map((update) => updateCard(update, opened)));
  // What stands on no update: private mode, maps that can be ordered.
  const told = new Set([...updates.flatMap((update) => update.lines), ...(screen.functions || [])]);
  const rest = (screen.lines || []).filter((line) => !told.has(line));
  $("functions").replaceChildren(...[...rest, ...(screen.functions || [])].map((line) => element("div", "", line)));
  $("nothing").hidden = updates.length > 0;
}

function drawBar() {
  const at = values[SIGNAL.activate_at];
  const time = (date) => date.toLocaleString(language(), { weekday: "short", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
  $("clock").textContent = local(Date.now()).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
  $("bearer").textContent = text(values[SIGNAL.bearer]) || values[SIGNAL.bearer] || "–";
  $("private").hidden = values[SIGNAL.private_mode] !== "true";
  $("private").textContent = text("private");
  $("charge").textContent = (values[SIGNAL.soc] || "–") + " %";
  $("volts").textContent = (values[SIGNAL.battery] || "–") + " V";
  $("link").className = connected ? "dot on" : "dot";
  $("link").setAttribute("aria-label", text(connected ? "connected" : "disconnected"));
  $("at-note").textContent = at ? filled("atTime", time(local(Date.parse(at)))) : text("atNone");
}

function drawTexts() {
  if (document.documentElement.dataset.drawn === language()) return;
  document.documentElement.lang = document.documentElement.dataset.drawn = language();
  for (const [id, name] of [["heading", "updates"], ["nothing", "nothing"], ["at-label", "at"], ["at-set", "set"],
    ["at-clear", "clear"], ["car-heading", "car"], ["drive", "drive"], ["leave", "leave"]]) $(id).textContent = text(name);
  drawControls();
}

// ---- the car

function key(control, value, label) {
  const made = element("button", "key", label);
  made.type = "button";
  made.dataset.control = control;
  made.dataset.value = value;
  made.addEventListener("click", () => turn({ [control]: value }));
  return made;
}

function group(legend, width, ...content) {
  const made = element("fieldset", "control " + width);
  made.append(element("legend", "", legend), ...content);
  return made;
}

function slider(control, label, min, max, step) {
  const made = element("input");
  Object.assign(made, { type: "range", min, max, step });
  made.dataset.control = control;
  made.setAttribute("aria-label", label);
  made.addEventListener("change", () => turn({ [control]: made.value }));
  return group(label, "", made);
}

function drawControls() {
  const groups = KEYS.map(([control, label, keys]) => {
    const row = element("div", "keys");
    for (const [value, name] of keys) row.append(key(control, value, name ? text(name) : value));
    return group(text(label), WIDE.has(control) ? "wide" : "", row);
  });
  const wrong = element("div", "keys");
  for (const [control, name] of FAULTS) {
    const made = element("button", "key fault", text(name));
    made.type = "button";
    made.dataset.control = control;
    made.addEventListener("click", () => {
      faults[control] = !faults[control];
      turn({ [control]: faults[control] ? "1" : "0" });
      drawState();
    });
    wrong.append(made);
  }
  $("controls").replaceChildren(...groups, slider("soc", text("charge"), 0, 100, 1),
    slider("battery", text("volts"), 11, 14, 0.1), group(text("faults"), "wide", wrong));
}

function isSet(control, value) {
  if (control === "language") return language() === value;
  const entry = KEYS.find(([name]) => name === control)[2].find(([name]) => name === value);
  return values[SIGNAL[control]] === (entry[2] || YES[value] || value);
}

function drawState() {
  for (const made of document.querySelectorAll(".controls button")) {
    const control = made.dataset.control;
    const on = control.startsWith("fail_") ? faults[control] === true : isSet(control, made.dataset.value);
    made.setAttribute("aria-pressed", String(on));
  }
  for (const made of document.querySelectorAll(".controls input[type=range]"))
    if (document.activeElement !== made) made.value = values[SIGNAL[made.dataset.control]] || 0;
  drawPlan();
}

// Seen from above, front to the left.
function drawPlan() {
  const open = values[SIGNAL.doors] === "true", locked = values[SIGNAL.locked] === "true";
  const driver = values[SIGNAL.driver] === "true", cable = values[SIGNAL.cable] === "true";
  const power = values[SIGNAL.power] === "ON";
  const edge = locked ? "#5ec8b5" : "#e8b45a";
  const door = (x, y, side) =>
    open ? `<path d="M${x} ${y} l34 ${side * 24}" stroke="#e8b45a" stroke-width="5" stroke-linecap="round"/>` : "";
  $("plan").innerHTML = `<svg viewBox="0 0 320 170" xmlns="http://www.w3.org/2000/svg">
    <rect x="30" y="40" width="250" height="90" rx="38" fill="#1a2430" stroke="${edge}" stroke-width="3"/>
    <path d="M104 50 q-16 35 0 70 l26 -8 q-8 -27 0 -54 z" fill="#2a3a4b"/>
    <path d="M232 54 q12 31 0 62 l-18 -6 q6 -25 0 -50 z" fill="#2a3a4b"/>
    <rect x="134" y="58" width="76" height="54" rx="12" fill="#22303e"/>
    ${power ? '<path d="M34 58 L4 44 M34 112 L4 126" stroke="#fff3c4" stroke-width="6" stroke-linecap="round"/>' : ""}
    <circle cx="152" cy="99" r="9" fill="${driver ? "#e9eff5" : "#33455a"}"/>
    ${door(128, 40, -1)}${door(172, 40, -1)}${door(128, 130, 1)}${door(172, 130, 1)}
    ${cable ? '<path d="M276 66 q34 -8 38 -52" fill="none" stroke="#5ec8b5" stroke-width="5" stroke-linecap="round"/>' : ""}
    <path d="M245 80 v-5 a6 6 0 0 1 ${locked ? "12 0 v5" : "12 -2"}" fill="none" stroke="${edge}" stroke-width="3"/>
    <rect x="242" y="80" width="18" height="14" rx="3" fill="${edge}"/></svg>`;
  $("plan").setAttribute("aria-label", [text("lock"), text(locked ? "locked" : "unlocked"), text("doors"), text(open ? "open" : "closed")].join(" "));
}

function draw() {
  drawTexts();
  drawBar();
  drawScreen();
  drawState();
}

// ---- VISS

// A car that does not know where it stands is where its page is.
function tellOffset() {
  if (offsetTold || values[SIGNAL.utc_offset] !== "") return;
  offsetTold = true;
  turn({ utc_offset: String(-new Date().getTimezoneOffset()) });
}

function connect() {
  const socket = new WebSocket("ws://" + location.host + "/", "VISSv2");
  const ask = (requestId, path, filter) => socket.send(JSON.stringify({ action: "subscribe", path, filter, requestId }));
  socket.addEventListener("open", () => {
    connected = true;
    ask("1", "Vehicle", { type: "timebased", parameter: { period: "500" } });
    for (const [index, path] of [SCREEN, ...Object.values(SIGNAL)].entries())
      ask("c" + index, path, { type: "change", parameter: { "logic-op": "ne", diff: "0" } });
  });
  socket.addEventListener("message", (event) => {
    const message = JSON.parse(event.data);
    if (message.action !== "subscription" || !message.data) return;
    for (const point of [message.data].flat()) values[point.path] = [point.dp].flat().at(-1).value;
    tellOffset();
    draw();
  });
  socket.addEventListener("close", () => {
    connected = offsetTold = false;
    draw();
    setTimeout(connect, 1000);
  });
}

$("drive").addEventListener("click", () => turn({
  driver: "in", locked: "no", doors: "closed", cable: "off", parking_brake: "off", power: "on", gear: "D", bearer: "sim",
}));
$("leave").addEventListener("click", () => turn({
  gear: "P", parking_brake: "on", power: "off", cable: "off", driver: "out", doors: "closed", locked: "yes", bearer: "wifi",
}));
$("at-set").addEventListener("click", () => {
  const at = Date.parse($("at").value + "Z") - offsetMs();
  if (!isNaN(at)) turn({ activate_at: new Date(at).toISOString().slice(0, 19) + "Z" });
});
$("at-clear").addEventListener("click", () => {
  $("at").value = "";
  turn({ activate_at: "none" });
});

draw();
connect();
