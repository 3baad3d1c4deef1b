// Signs in at Supabase Auth and hands the access token to Swagger UI, which keeps it over reloads. This script runs before
// Swagger UI reads what it kept.
forgetSecretKey();
addEventListener("pagehide", forgetSecretKey);

// The secret key has all rights and does not expire: the browser must not keep it.
function forgetSecretKey() {
  const { secretKey: _, ...kept } = JSON.parse(localStorage.getItem("authorized") ?? "{}");
  localStorage.setItem("authorized", JSON.stringify(kept));
}

const form = document.getElementById("sign-in");
const state = document.getElementById("sign-in-state");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password, apikey } = Object.fromEntries(new FormData(form));
  state.textContent = "Signing in...";
  try {
    const response = await fetch("/auth/v1/token?grant_type=password", {
      method: "POST",
      headers: { apikey, "Content-Type": "application/json" },
      body: JSON.stringify({ email, password }),
    });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.msg ?? answer.message ?? `Supabase Auth answered ${response.status}.`);
    // what its own dialog calls; preauthorizeApiKey would forget the token with a reload
    globalThis.ui.authActions.authorizeWithPersistOption({
      userToken: { name: "userToken", schema: { type: "http", scheme: "bearer" }, value: answer.access_token },
    });
    form.elements.password.value = "";
    const minutes = Math.round(answer.expires_in / 60);
    state.textContent = `Signed in as ${answer.user.email}: "Try it out" sends the token, for ${minutes} minutes.`;
  } catch (error) {
    state.textContent = `Not signed in: ${error.message}`;
  }
});

// each field of the dialog asks for the focus, so that the last one would get it
new MutationObserver((changes) => {
  const isOpened = changes.some(({ addedNodes }) =>
    [...addedNodes].some((node) =>
      node instanceof Element && (node.matches(".dialog-ux") || node.querySelector(".dialog-ux"))
    )
  );
  if (isOpened) document.querySelector(".dialog-ux #auth-bearer-value")?.focus();
}).observe(document.body, { childList: true, subtree: true });
