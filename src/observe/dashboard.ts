// The files of the dashboard page, ready to be sent. They are plain HTML, CSS and JavaScript in dashboard/, and uPlot from
// its package; the page asks for nothing else but /api/v1/runtime.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

export interface PageFile {
  readonly type: string
  readonly bytes: Buffer
}

/** Nothing from other hosts, nothing inline, in nobody's frame. */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}
const OWN = [
  'dashboard.css',
  'dashboard.js',
  'card.js',
  'chart.js',
  'element.js',
  'icon.svg',
  'lane.js',
  'text.js',
  'total.js',
]
const UPLOT = { 'uplot.js': 'uplot/dist/uPlot.iife.min.js', 'uplot.css': 'uplot/dist/uPlot.min.css' } as const

/** The page itself, and its parts by name. */
export function loadDashboard(): { readonly page: PageFile; readonly parts: ReadonlyMap<string, PageFile> } {
  const { resolve } = createRequire(import.meta.url)
  const own = (name: string): [string, PageFile] => [
    name,
    pageFileOf(name, new URL(`./dashboard/${name}`, import.meta.url)),
  ]
  const foreign = Object.entries(UPLOT).map(([name, path]): [string, PageFile] => [
    name,
    pageFileOf(name, resolve(path)),
  ])
  return { page: own('index.html')[1], parts: new Map([...OWN.map(own), ...foreign]) }
}

/** `name` says of what type it is. */
export function pageFileOf(name: string, path: string | URL): PageFile {
  return { type: TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'application/octet-stream', bytes: readFileSync(path) }
}
