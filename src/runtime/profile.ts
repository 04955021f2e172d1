// A CPU profile of the thread it runs in, as Chrome's DevTools read it.
import { Session } from 'node:inspector/promises'

const SECONDS_MAX = 60

export async function captureProfile(seconds: number): Promise<string> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
    await new Promise((resolve) => setTimeout(resolve, Math.min(seconds, SECONDS_MAX) * 1000))
    const { profile } = await session.post('Profiler.stop')
    return JSON.stringify(profile)
  } finally {
    session.disconnect()
  }
}
