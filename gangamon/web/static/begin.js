// Before anything is shown: the colours that were chosen, else those of the system.
const theme = localStorage.getItem("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
// When what came with the page is shown, and not before: its scripts. A tab that nobody sees waits.
addEventListener("DOMContentLoaded", () => {
  const script = document.querySelector('meta[name="script"]');
  if (script) requestAnimationFrame(() => setTimeout(() => import(script.content)));
});
