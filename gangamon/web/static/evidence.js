// Why a subjob has its status: what `gangamon why` prints, as a page shows it.
import { h, moment, seconds, status } from "./dom.js";

export function evidence(story, close) {
  const facts = [], add = (name, value) => { if (value !== "" && value !== null && value !== undefined) facts.push(h("dt", {}, name), h("dd", {}, value)); };
  const known = story.evidence ?? {};
  add("Backend's id", h("span", { class: "mono" }, story.native_id || "–"));
  add("It says", story.native_status + (story.unmapped ? " (a code gangamon does not know: the status is kept)" : ""));
  add("Site", story.site);
  add("Told by", known.source);
  add("Exit code", known.exit_code);
  add("Reason", known.reason);
  add("Started", moment(known.started_at));
  add("Ended", moment(known.ended_at));
  if (known.started_at && known.ended_at) add("Ran for", seconds(known.ended_at - known.started_at));
  if (story.absences) add("Missing in", `the last ${story.absences} good answers`);
  const parts = [h("header", {}, h("h2", {}, `Subjob ${story.job}`), status(story.status, story.stale ? " (stale)" : ""), close), h("dl", { class: "facts" }, facts)];
  if (story.checks.length) {
    parts.push(h("h3", {}, "Checkers"), h("dl", { class: "facts" }, story.checks.flatMap((check) =>
      [h("dt", {}, check.kind), h("dd", {}, check.error || (check.ok ? "passed" : check.reason || "failed"))])));
  }
  if (story.left_out.length) parts.push(h("h3", {}, "Left out of its outputs"), h("ul", {}, story.left_out.map((line) => h("li", {}, line))));
  parts.push(h("h3", {}, "How it came about"), h("ol", { class: "line" }, [...story.history].reverse().map((entry) =>
    h("li", { class: /^[a-z]+$/.test(entry.status) ? entry.status : null }, entry.status,
      h("small", {}, entry.at ? moment(entry.at) : "when enqueued", ` · ${entry.source} · attempt ${entry.attempt}${entry.restart ? `, restart ${entry.restart}` : ""}`)))));
  parts.push(h("h3", {}, "As gangamon why prints it"), h("pre", {}, story.why.flatMap((line) => [line, h("br")])));
  return parts;
}
