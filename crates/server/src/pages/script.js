// What the pages can do without: the return page looks again by itself, forms are sent once, lines can be copied, a
// letter is shown as long as it is.
"use strict";

// The return page asks for the checkout's status until it is settled, then loads itself again. It asks often at first
// and more rarely later; a failed request is only a reason to ask later.
for (const block of document.querySelectorAll("[data-poll]")) {
  const started = Date.now();
  const ask = async () => {
    try {
      const answer = await fetch(block.dataset.poll, { headers: { accept: "application/json" }, cache: "no-store" });
      if (answer.ok && (await answer.json()).status !== "processing") {
        location.reload();
        return;
      }
    } catch {
      // The network is away: the page stays as it is and asks again.
    }
    const waited = Date.now() - started;
    const lead = block.querySelector("p");
    if (waited > 30000 && lead.textContent !== block.dataset.slow) lead.textContent = block.dataset.slow;
    setTimeout(ask, waited < 10000 ? 700 : waited < 60000 ? 2000 : 10000);
  };
  setTimeout(ask, 400);
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

// The demo of a checkout on a page of the app: what an app's own script would do. The secret stays in the page.
for (const block of document.querySelectorAll("#payment[data-secret]")) {
  const { ui, key, secret } = block.dataset;
  const stripe = window.Stripe && window.Stripe(key);
  if (!stripe) continue;
  if (ui === "embedded") {
    stripe.createEmbeddedCheckoutPage({ clientSecret: secret }).then((checkout) => checkout.mount(block));
  } else {
    stripe.elements({ clientSecret: secret, returnUrl: block.dataset.return }).create("payment").mount(block);
  }
}

// A letter is shown whole: its frame is as long as it is, at every width.
for (const frame of document.querySelectorAll("iframe.mail-frame")) {
  const fit = () => {
    const letter = frame.contentDocument && frame.contentDocument.documentElement;
    if (!letter) return;
    frame.style.height = "0";
    frame.style.height = `${letter.scrollHeight + 2}px`;
  };
  frame.addEventListener("load", fit);
  window.addEventListener("resize", fit);
  fit();
}

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
