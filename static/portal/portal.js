// What is still being worked out comes by itself; without this the page reloads.
const refresh = async () => {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  try {
    const answer = await fetch(window.location.href, { redirect: "error" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const now = page.getElementById("live");
    if (!now) return window.location.reload();
    if (now.hasAttribute("data-live")) {
      live.querySelector("[role=status]").textContent = now.querySelector("[role=status]").textContent;
    } else {
      live.replaceWith(now);
      const told = now.querySelector("[role=status]");
      if (told) {
        told.tabIndex = -1;
        told.focus();
      }
      return;
    }
  } catch {
    // The server is away for a moment: ask again.
  }
  setTimeout(refresh, 1000);
};
setTimeout(refresh, 700);
