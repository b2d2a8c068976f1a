// Before anything is shown: the colours that were chosen, else those of the system.
const theme = localStorage.getItem("theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
