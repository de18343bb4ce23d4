// QUITTANCE SANDBOX: a stand-in of the provider's browser library, for development and tests. It frames pages of the
// sandbox, so that what a buyer types goes to the sandbox and never to the page that frames it. It is not the provider's
// library, knows a few of its calls only, and takes any publishable key.
"use strict";

(() => {
  const origin = new URL(document.currentScript.src).origin;

  // A page of the sandbox in a frame that is as long as it needs, and leaves with the whole window.
  const framed = (secret, more) => {
    const id = secret.split("_secret_")[0];
    const query = new URLSearchParams({ secret, ...more });
    const frame = document.createElement("iframe");
    frame.src = `${origin}/embed/${encodeURIComponent(id)}?${query}`;
    frame.title = "Sandbox: payment";
    frame.className = "payment-frame";
    const heard = (event) => {
      if (event.origin !== origin || event.source !== frame.contentWindow || !event.data) return;
      if (Number.isFinite(event.data.height)) frame.style.height = `${event.data.height}px`;
      if (typeof event.data.leave === "string") location.assign(event.data.leave);
    };
    window.addEventListener("message", heard);
    return {
      mount(where) {
        (typeof where === "string" ? document.querySelector(where) : where).replaceChildren(frame);
      },
      submit() {
        frame.contentWindow.postMessage({ submit: true }, origin);
      },
      destroy() {
        window.removeEventListener("message", heard);
        frame.remove();
      },
    };
  };

  window.Stripe = (key) => {
    if (!String(key).startsWith("pk_")) throw new Error("A publishable key begins with pk_.");
    const whole = async ({ clientSecret, fetchClientSecret }) => framed(clientSecret || (await fetchClientSecret()), {});
    return {
      // The whole form in a frame. Both names, of this year's library and of earlier ones.
      createEmbeddedCheckoutPage: whole,
      initEmbeddedCheckout: whole,
      // Here the same form, with a button of its own; the page says where the buyer goes afterwards.
      elements({ clientSecret, returnUrl = location.href }) {
        const fields = framed(clientSecret, { return_url: returnUrl });
        return { create: () => fields, submit: async () => ({}), fields };
      },
      async confirmPayment({ elements }) {
        elements.fields.submit();
        return {};
      },
    };
  };
})();
