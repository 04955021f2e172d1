// The two things the page does to the document. Text is only ever set as text: nothing of a report becomes markup.

/** An element with properties and children. */
export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties)
  made.append(...children)
  return made
}

/** Touches the document only when the text changes. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}
