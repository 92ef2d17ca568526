// Names and texts from elsewhere may hold control characters; a terminal must not see them. Pure.

export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, '\ufffd')
}
