// Multiaddrs as text: which are worth telling, and which can be dialled. Pure functions. Only TCP over IP counts here.
import net from 'node:net'

export const ANNOUNCED_MAX = 8

/** `/ip4/192.168.1.5/tcp/4001` in parts; undefined for everything else. A device id at the end is ignored. */
export function parseAddress(address: string): { ip: string; port: number } | undefined {
  if (address.length > 256) return undefined
  const [, family, ip, tcp, port, p2p, , rest] = address.split('/')
  const fits = (family === 'ip4' && net.isIPv4(ip)) || (family === 'ip6' && net.isIPv6(ip))
  const portNumber = Number(port)
  if (!fits || tcp !== 'tcp' || !/^\d{1,5}$/.test(port ?? '') || portNumber < 1 || portNumber > 65535) return undefined
  if ((p2p !== undefined && p2p !== 'p2p') || rest !== undefined) return undefined
  return { ip, port: portNumber }
}

export function formatAddress(ip: string, port: number): string {
  return `/${net.isIPv6(ip) ? 'ip6' : 'ip4'}/${ip}/tcp/${port}`
}

/** Reads what people type: `192.168.1.5:4001`, `[fe80::1]:4001` or a multiaddr. */
export function readAddress(text: string): string | undefined {
  const parsed = parseAddress(text.trim())
  if (parsed) return formatAddress(parsed.ip, parsed.port)
  const match = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)):(\d{1,5})$/i.exec(text.trim())
  const address = match && formatAddress(match[1] ?? match[2], Number(match[3]))
  return address && parseAddress(address) ? address : undefined
}

function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1'
}

/** Link-local IPv6 needs a zone, which differs on each machine, so it is of no use to others. */
function isLinkLocal(ip: string): boolean {
  return /^fe[89ab]/i.test(ip)
}

/** Those that others can use, IPv4 first; loopback only if there is nothing else (several nodes on one machine). */
export function announcedAddresses(addresses: readonly string[]): string[] {
  const parsed = addresses.map(parseAddress).filter((one) => one !== undefined && !isLinkLocal(one.ip)) as {
    ip: string
    port: number
  }[]
  const outside = parsed.filter((one) => !isLoopback(one.ip))
  const best = (outside.length > 0 ? outside : parsed).sort((a, b) => net.isIP(a.ip) - net.isIP(b.ip))
  return [...new Set(best.map((one) => formatAddress(one.ip, one.port)))].slice(0, ANNOUNCED_MAX)
}
