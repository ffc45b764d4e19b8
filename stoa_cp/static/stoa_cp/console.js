// navigator.clipboard exists on HTTPS and localhost only. A development server on another host needs execCommand.
function copyText(element) {
  window.getSelection().selectAllChildren(element);
  return document.execCommand("copy");
}

// A dialog is redirected only if the session has ended: to the login page, which must not appear inside the dialog.
// Reloading the page behind the dialog leads to the login as well, and back afterwards.
document.addEventListener("htmx:beforeSwap", (event) => {
  const requested = new URL(event.detail.pathInfo.finalRequestPath, location).href;
  if (event.detail.xhr.responseURL !== requested) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

// htmx shows nothing for an error response. Ours have the same JSON envelope as those of the REST API.
document.addEventListener("htmx:responseError", (event) => {
  alert(JSON.parse(event.detail.xhr.responseText).error.message);
});
