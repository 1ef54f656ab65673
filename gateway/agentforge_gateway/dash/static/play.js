// The playground without leaving the page: the form's answer comes as JSON and is added above the earlier ones.
"use strict";

function line(tag, name, text) {
  return Object.assign(document.createElement(tag), {className: name, textContent: text});
}

function answered(said) {
  const box = line("div", "sample", "");
  box.append(line("p", "hint", said.prompt));
  for (const had of said.thoughts || []) {
    box.append(line("p", "thought", `after ${had.after} tokens it thought ${had.texts.map((text) => `“${text}”`).join(" ")}`));
  }
  for (const call of said.calls || []) {
    box.append(line("p", "thought", `${call.tool}(${call.argument}) = ${call.result}${call.error ? ` (${call.error})` : ""}`));
  }
  const text = line("p", "", "");
  text.append(line("b", "", said.text));
  box.append(text);
  if (said.engine) box.append(line("p", "hint", `computed by ${said.engine}`));
  return box;
}

function refused(problem) {
  const box = line("div", "problem", "");
  box.setAttribute("role", "alert");
  box.append(line("b", "", problem.reason), line("p", "", problem.detail), line("p", "", problem.next_step || ""));
  return box;
}

addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("play");
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(form));
    Object.assign(button, {disabled: true, textContent: "It answers…"});
    let box;
    try {
      const answer = await fetch(form.action, {method: "POST", body, headers: {Accept: "application/json"}});
      const said = await answer.json();
      box = answer.ok ? answered(said) : refused(said);
      if (answer.ok) form.elements.prompt.value = "";
    } catch (error) {
      box = refused({reason: "UNREACHABLE", detail: "The gateway does not answer.", next_step: "Ask again when it is back."});
    }
    document.getElementById("said").prepend(box);
    Object.assign(button, {disabled: false, textContent: "Say it"});
    form.elements.prompt.focus();
  });
});
