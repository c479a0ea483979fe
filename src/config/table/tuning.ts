/**
 * The Go proxy's queue, buffer and worker sizes (operations §1.3). None of these exists here; they
 * are accepted because configurations carry them.
 */
import type { Section } from '../definition.ts'

const DESCRIPTION = 'Sizes a queue, a buffer or a worker pool that does not exist here.'

const knob = <const Key extends string>(key: Key, value: number) =>
  ({ key, type: 'int', default: value, status: 'ignored', description: DESCRIPTION }) as const

export const TUNING = {
  title: 'Tuning of the Go proxy',
  settings: [
    knob('request_write_queue_size_frames', 128),
    knob('request_write_buffer_size_bytes', 4096),
    knob('request_read_buffer_size_bytes', 32_768),
    knob('response_write_queue_size_frames', 128),
    knob('response_write_buffer_size_bytes', 8192),
    knob('response_read_buffer_size_bytes', 32_768),
    knob('request_response_max_workers', -1),
    knob('write_max_workers', -1),
    knob('read_max_workers', -1),
    knob('listener_max_workers', -1),
    knob('event_queue_size_frames', 12),
    knob('async_connector_write_queue_size_frames', 2048),
    knob('async_connector_write_buffer_size_bytes', 4096),
  ],
} as const satisfies Section
