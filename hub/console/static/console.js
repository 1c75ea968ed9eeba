// Brings news of a page that changes by itself: every two seconds it fetches the page and puts in the parts that
// differ, but for one that holds the focus. Without it the page reloads every five seconds (noscript).
"use strict";
(() => {
  const root = document.documentElement;
  let failures = 0;
  const update = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
        if (!answer.ok && answer.status !== 503) return; // no longer allowed, or gone: a reload will say so
        const news = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (news.title !== document.title) return location.reload(); // another page: the database went, or came back
        for (const part of news.querySelectorAll("[data-part]")) {
          const old = document.getElementById(part.id);
          if (old && !old.contains(document.activeElement) && old.innerHTML !== part.innerHTML) old.replaceWith(document.adoptNode(part));
        }
        failures = 0;
        if (!news.documentElement.dataset.live) return; // it has come to its end
      } catch {
        failures++; // the hub restarts
      }
    }
    setTimeout(update, Number(root.dataset.live) * Math.min(1 + failures, 10));
  };
  if (root.dataset.live) setTimeout(update, Number(root.dataset.live));
})();
