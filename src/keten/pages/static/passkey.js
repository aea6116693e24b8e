// The one script of these screens: it asks the browser for a passkey and puts the answer into the form it belongs to.
// WebAuthn Level 3: PublicKeyCredential.parseCreationOptionsFromJSON, parseRequestOptionsFromJSON and toJSON.
"use strict";

(() => {
  // A one-time link carries its secret behind the '#', which browsers send to nobody; this form carries it on.
  const link = document.querySelector("form[data-link]");
  if (link && location.hash.length > 1) {
    link.elements.namedItem("secret").value = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    link.submit();
    return;
  }

  const form = document.querySelector("form[data-passkey]");
  if (!form) return;
  const loaded = performance.now();
  const say = (name) => {
    for (const one of document.querySelectorAll("[data-when]")) one.hidden = one.dataset.when !== name;
  };
  const able = window.PublicKeyCredential && PublicKeyCredential.parseRequestOptionsFromJSON;
  say(able ? "" : "unable");
  const button = form.querySelector("button");
  button.disabled = !able;
  // Back again from the next page: this ceremony was used, and a new page begins another.
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!able) return;
    if (performance.now() - loaded > Number(form.dataset.lasts)) {
      say("late");
      return;
    }
    button.disabled = true;
    say("busy");
    try {
      const options = JSON.parse(form.dataset.options);
      const answer =
        form.dataset.passkey === "create"
          ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
          : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.namedItem("response").value = JSON.stringify(answer.toJSON());
      form.submit();
    } catch (error) {
      button.disabled = false;
      say(error.name === "InvalidStateError" ? "known" : "failed");
    }
  });
})();
