try {
  const theme = localStorage.getItem('celeris-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch { /* storage may be forbidden: the system's choice stays */ }
