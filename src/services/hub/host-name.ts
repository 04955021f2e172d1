// How this process is called among all hosts of a cluster.
import { hostname } from 'node:os'

export const HOST = `${hostname()}:${process.pid}`
