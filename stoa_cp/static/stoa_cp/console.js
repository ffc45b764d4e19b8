// navigator.clipboard exists on HTTPS and localhost only; a selection can be copied anywhere.
function copyText(element) {
  window.getSelection().selectAllChildren(element);
  return document.execCommand("copy");
}
