// What drives a timer wheel: something that can call it back later. The wheel knows no other way to wait.

export interface TimerHost {
  /** Whether a wake-up that `arm` asked for is still to come. */
  readonly armed: boolean
  /** Wake up once after `delayMs`, instead of what was armed before. Too early is allowed, the wheel looks again. */
  arm(delayMs: number): void
  /** Wake up once at the end of this turn, beside what is armed. Asking twice is asking once. */
  soon(): void
  /** Forget both. */
  disarm(): void
}
