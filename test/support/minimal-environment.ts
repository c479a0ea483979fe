/** The least that settings need: where both clusters are, under names that nobody has, and as whom. */
export const MINIMAL_ENVIRONMENT = {
  ZDM_ORIGIN_CONTACT_POINTS: 'origin',
  ZDM_ORIGIN_USERNAME: '',
  ZDM_ORIGIN_PASSWORD: '',
  ZDM_TARGET_CONTACT_POINTS: 'target',
  ZDM_TARGET_USERNAME: '',
  ZDM_TARGET_PASSWORD: '',
} as const
