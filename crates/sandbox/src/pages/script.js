// What the pages can do without: test cards that fill in the form, digits in groups, one submit per form, copy buttons.
"use strict";

// Card number in groups of four; expiry as MM / YY. The caret stays where it was, counted in digits.
function regroup(input, format) {
  const before = input.value.slice(0, input.selectionStart).replace(/\D/g, "").length;
  const atEnd = input.selectionStart === input.value.length;
  input.value = format(input.value.replace(/\D/g, ""));
  if (atEnd) return;
  let caret = 0;
  for (let digits = 0; caret < input.value.length && digits < before; caret += 1) {
    if (/\d/.test(input.value[caret])) digits += 1;
  }
  input.setSelectionRange(caret, caret);
}
const fours = (digits) => digits.slice(0, 19).replace(/(.{4})(?=.)/g, "$1 ");
const monthYear = (digits) => (digits.length > 2 ? digits.slice(0, 2) + " / " + digits.slice(2, 6) : digits);
for (const [name, format] of [["number", fours], ["expiry", monthYear]]) {
  for (const input of document.querySelectorAll(`input[name="${name}"]`)) {
    input.addEventListener("input", (event) => {
      // An input method is still composing, or something is being deleted: do not move what is being typed.
      if (event.isComposing || (event.inputType || "").startsWith("delete")) return;
      regroup(input, format);
    });
  }
}

// Each test card becomes a button that fills in its form.
for (const list of document.querySelectorAll("[data-fill]")) {
  const field = (name) => document.getElementById(`${list.dataset.fill}-${name}`);
  for (const item of list.querySelectorAll("[data-card]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...item.childNodes);
    item.append(button);
    button.addEventListener("click", () => {
      const number = field("number");
      number.value = fours(item.dataset.card);
      if (!field("expiry").value) field("expiry").value = "12 / 40";
      if (!field("cvc").value) field("cvc").value = "123";
      if (!field("name").value) field("name").value = "Test Buyer";
      const email = document.getElementById("email");
      if (email && !email.value) email.value = "buyer@example.com";
      number.form.querySelector("button").focus();
    });
  }
}

// In a frame of the seller's page: it is told how long this page is and where to go next, and may send the form. What is
// typed stays here.
if (window.parent !== window) {
  const tell = (message) => window.parent.postMessage(message, "*");
  const leaving = document.querySelector("[data-leave]");
  if (leaving) tell({ leave: leaving.dataset.leave });
  // The end of what is shown, not of the frame: the page is at least as long as its frame, which would grow for ever.
  const main = document.querySelector("main");
  const height = () => Math.ceil(main.getBoundingClientRect().bottom + window.scrollY);
  new ResizeObserver(() => tell({ height: height() })).observe(main);
  window.addEventListener("message", (event) => {
    const pay = document.querySelector(".pay form");
    if (event.source === window.parent && event.data && event.data.submit && pay) pay.requestSubmit();
  });
}

// A form is sent once. The button is not disabled: a disabled button would not be sent along.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    const button = event.submitter;
    if (!button) return;
    button.dataset.words = button.textContent;
    button.setAttribute("aria-busy", "true");
    button.textContent = form.dataset.once;
  });
}
// Back from the next page, out of the browser's memory: the form may be sent again.
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("button[aria-busy]")) {
      button.removeAttribute("aria-busy");
      button.textContent = button.dataset.words;
    }
  }
});

for (const block of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = block.dataset.copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("code").textContent);
    button.textContent = "✓";
    setTimeout(() => { button.textContent = block.dataset.copy; }, 1500);
  });
  block.append(button);
}
