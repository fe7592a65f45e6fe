// Small comforts of the console; every page works without them.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  const box = document.querySelector("[data-search-box]");
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
});

document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-bulk]");
  if (!form) return;
  const rows = form.querySelectorAll('input[name="recipient"]');
  const head = form.querySelector("[data-tick-all]");
  if (event.target === head) {
    rows.forEach((row) => (row.checked = head.checked));
  } else if (event.target.matches("[data-all]")) {
    rows.forEach((row) => (row.disabled = event.target.checked));
    head.disabled = event.target.checked;
  }
});

// A part of a page that refreshes itself after the session has ended: show the sign-in page.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!new URL(event.detail.xhr.responseURL).pathname.endsWith("/login/")) return;
  event.detail.shouldSwap = false;
  window.location.reload();
});
