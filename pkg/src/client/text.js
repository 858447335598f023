/** A text without halves of characters, which JSON would carry to a server that refuses them. */
export const wellFormed = (text) => new TextDecoder().decode(new TextEncoder().encode(text));
