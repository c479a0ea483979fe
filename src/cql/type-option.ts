/**
 * CQL types as the [option] notation spells them in metadata (v5 §4.2.5.2). What values of a type
 * look like is values.ts's business.
 */
import { ProtocolError } from './errors.ts'
import { TypeId } from './protocol.ts'
import type { BodyReader } from './reader.ts'
import type { BodyWriter } from './writer.ts'

export type TypeOption =
  | { readonly kind: 'native'; readonly id: number }
  | { readonly kind: 'custom'; readonly className: string }
  | { readonly kind: 'list'; readonly element: TypeOption }
  | { readonly kind: 'set'; readonly element: TypeOption }
  | { readonly kind: 'map'; readonly key: TypeOption; readonly value: TypeOption }
  | { readonly kind: 'tuple'; readonly elements: readonly TypeOption[] }
  | {
      readonly kind: 'udt'
      readonly keyspace: string
      readonly name: string
      readonly fields: readonly UdtField[]
    }

export type UdtField = { readonly name: string; readonly type: TypeOption }

/** Deeper than any schema nests; two bytes a level would otherwise be enough to exhaust the stack. */
const TYPE_DEPTH_MAX = 64

export const nativeType = (id: number): TypeOption => ({ kind: 'native', id })

/**
 *   [option]: <id><value>
 *     <id>     [short]
 *     <value>  custom: [string]         list, set: [option]     map: [option][option]
 *              tuple: <n>[option]*      udt: <ks><name><n>(<field name><type>)*     others: nothing
 *
 * An id that did not exist when this was written is taken for a native type.
 */
export const decodeTypeOption = (reader: BodyReader, depth = 0): TypeOption => {
  if (depth > TYPE_DEPTH_MAX) {
    throw new ProtocolError(
      'CQL_TYPE_DEPTH',
      `Cannot read [option]: types are nested more than ${TYPE_DEPTH_MAX} deep`,
    )
  }
  const id = reader.readShort('type id')
  const nested = depth + 1
  switch (id) {
    case TypeId.CUSTOM:
      return { kind: 'custom', className: reader.readString('custom type') }
    case TypeId.LIST:
      return { kind: 'list', element: decodeTypeOption(reader, nested) }
    case TypeId.SET:
      return { kind: 'set', element: decodeTypeOption(reader, nested) }
    case TypeId.MAP: {
      const key = decodeTypeOption(reader, nested)
      return { kind: 'map', key, value: decodeTypeOption(reader, nested) }
    }
    case TypeId.TUPLE:
      return { kind: 'tuple', elements: decodeElements(reader, nested) }
    case TypeId.UDT:
      return decodeUdt(reader, nested)
    default:
      return nativeType(id)
  }
}

const decodeElements = (reader: BodyReader, depth: number): TypeOption[] => {
  const count = reader.readShort('tuple length')
  const elements: TypeOption[] = []
  for (let i = 0; i < count; i++) elements.push(decodeTypeOption(reader, depth))
  return elements
}

const decodeUdt = (reader: BodyReader, depth: number): TypeOption => {
  const keyspace = reader.readString('type keyspace')
  const name = reader.readString('type name')
  const count = reader.readShort('field count')
  const fields: UdtField[] = []
  for (let i = 0; i < count; i++) {
    const fieldName = reader.readString('field name')
    fields.push({ name: fieldName, type: decodeTypeOption(reader, depth) })
  }
  return { kind: 'udt', keyspace, name, fields }
}

export const encodeTypeOption = (writer: BodyWriter, type: TypeOption): BodyWriter => {
  switch (type.kind) {
    case 'native':
      return writer.writeShort(type.id)
    case 'custom':
      return writer.writeShort(TypeId.CUSTOM).writeString(type.className)
    case 'list':
      return encodeTypeOption(writer.writeShort(TypeId.LIST), type.element)
    case 'set':
      return encodeTypeOption(writer.writeShort(TypeId.SET), type.element)
    case 'map':
      encodeTypeOption(writer.writeShort(TypeId.MAP), type.key)
      return encodeTypeOption(writer, type.value)
    case 'tuple':
      writer.writeShort(TypeId.TUPLE).writeCount(type.elements.length, 'tuple elements')
      for (const element of type.elements) encodeTypeOption(writer, element)
      return writer
    case 'udt':
      writer.writeShort(TypeId.UDT).writeString(type.keyspace).writeString(type.name)
      writer.writeCount(type.fields.length, 'type fields')
      for (const field of type.fields) encodeTypeOption(writer.writeString(field.name), field.type)
      return writer
  }
}
