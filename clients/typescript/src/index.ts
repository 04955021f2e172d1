// The package's public API, and nothing else.
import { NeurographWSClient } from './client.ts'

export type { ImageOptions, Metadata, VideoOptions } from './binary.ts'
export { type AudioOptions, type BinaryMessage, BinaryType, type BinaryTypeName, binaryHandler } from './binary.ts'
export * from './channel.ts'
export type { ClientEvents, ConnectionInfo, Disconnection, ErrorReport } from './client.ts'
export type { CompressorOptions } from './compression.ts'
export { type Algorithm, type CompressedJson, defaultCompressor, MessageCompressor } from './compression.ts'
export type { EventOf, HubEvent, HubFrame } from './frame.ts'
export type { ReceiveOptions } from './frame-queue.ts'
export type { Handler } from './handler-table.ts'
export { HubError, type HubErrorCode } from './hub-error.ts'
export type { WebSocketClass, WebSocketLike } from './hub-socket.ts'
export type { ClientOptions } from './option.ts'
export { NeurographWSClient }
// biome-ignore lint/style/noDefaultExport: the package is used both ways
export default NeurographWSClient
