// The words of the page, and helpers for its elements. Invariant: text from outside becomes text
// nodes, never markup. Trusted Types in the page's policy enforce it.
"use strict";

const MODES = {
  ok: "ok",
  reject: "reject: permanent error",
  throttle: "throttle: 429",
  error: "error: 500",
  down: "down: connection refused",
  hang: "hang: no response",
  lose: "lose: never delivered",
};
const AUTOMATIC_REPORTS = [
  "none",
  "delivered",
  "undelivered",
  "rejected",
  "expired",
  "sent",
  "queued",
];
const REPORT_BUTTONS = ["delivered", "undelivered", "rejected", "expired", "sent"];
const CHANNELS = {
  sms: "SMS",
  voice: "Voice call",
  whatsapp: "WhatsApp",
  email: "E-mail",
  push: "Notification",
};

// Status of the API -> tone and words of the page.
const VERIFICATION_STATUSES = {
  pending: ["wait", "Waiting for the code"],
  approved: ["good", "Approved"],
  canceled: ["none", "Canceled"],
  expired: ["bad", "Expired"],
  exhausted: ["bad", "No attempts left"],
  superseded: ["none", "Replaced by a newer verification"],
  refused: ["bad", "Refused: another subject has this recipient"],
};
const DELIVERY_STATUSES = {
  queued: ["none", "in the queue"],
  sending: ["wait", "being handed over"],
  sent: ["wait", "accepted, no report yet"],
  unknown: ["wait", "outcome unknown, waiting for a report"],
  delivered: ["good", "delivered"],
  undelivered: ["bad", "not delivered"],
  rejected: ["bad", "rejected by the carrier"],
  expired: ["bad", "expired before delivery"],
  failed: ["bad", "no carrier accepted it in time"],
};
const REASONS = {
  wrong_code: "Wrong code",
  expired: "The code has expired",
  exhausted: "No attempts left: the code was not checked",
  already_used: "This code was already used",
  canceled: "The verification was canceled",
  superseded: "A newer verification has replaced this one",
  recipient_taken: "The code is correct, but another subject has this recipient",
};

const byId = (id) => document.getElementById(id);

// A new element. Attributes that begin with "on" are event listeners.
function create(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Sets the text only if it differs: a live region is read out at every change.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const channelName = (channel) => CHANNELS[channel] ?? channel;
const timeOfDay = (iso) => String(iso ?? "").slice(11, 19);
const prettyJson = (value) => JSON.stringify(value, null, 2);
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const sumOf = (list, value) => list.reduce((sum, item) => sum + value(item), 0);

function channelIcon(channel) {
  const value = channel in CHANNELS ? channel : "sms";
  return document.querySelector(`input[value=${value}] + svg`).cloneNode(true);
}

function duration(seconds) {
  const padded = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  if (hours > 0) return `${hours} h ${padded(minutes)} min`;
  return minutes > 0 ? `${minutes} min ${padded(seconds % 60)} s` : `${seconds % 60} s`;
}
