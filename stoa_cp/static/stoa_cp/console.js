// navigator.clipboard exists on HTTPS and localhost only; a selection can be copied anywhere.
function copyText(element) {
  window.getSelection().selectAllChildren(element);
  return document.execCommand("copy");
}

// Only the login redirects a dialog: the session has ended, and the page behind the dialog will ask for it anew.
document.addEventListener("htmx:beforeSwap", (event) => {
  const asked = new URL(event.detail.pathInfo.finalRequestPath, location).href;
  if (event.detail.xhr.responseURL !== asked) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});

// htmx shows no error; ours come in the envelope of every other error of this service.
document.addEventListener("htmx:responseError", (event) => {
  alert(JSON.parse(event.detail.xhr.responseText).error.message);
});
