// Where the entry points of threads are: beside src/ in a checkout, beside dist/src/ in the built package.

export type EntryPoint = 'acceptor' | 'shard' | 'bridge' | 'store' | 'offload' | 'fresh-config'

export function entryPoint(name: EntryPoint): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`../../workers/${name}.${extension}`, import.meta.url)
}
