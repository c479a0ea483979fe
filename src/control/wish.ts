/** What an operator may want of a deployment, and what that means for the instances that were seen. Pure. */
import { checkDeployment, type Seen, statusesOf } from './deployment.ts'
import { ControlError, ControlErrorCode } from './errors.ts'
import {
  DEPLOYMENT_CHECKS,
  DEPLOYMENT_CHECKS_BACK,
  PHASE_TABLE,
  type Phase,
  phaseRank,
  type Routing,
} from './phase.ts'
import type { CheckResult, Transition } from './report.ts'

/** What an operator may want of a deployment. */
export type Wish =
  /** `from`: the phase that it was planned from; it is refused where the deployment is elsewhere by now. */
  | { readonly verb: 'advance'; readonly to: Phase; readonly from?: Phase | undefined }
  | { readonly verb: 'rollback'; readonly leave: boolean }
  | { readonly verb: 'route'; readonly routing: Routing }
  /** `like`: the name of the instance that is right. */
  | { readonly verb: 'align'; readonly like: string }

/** Throws NO_SUCH_WAY where `align` names an instance that cannot be seen. */
export const transitionFor = (wish: Wish, seen: readonly Seen[]): Transition => {
  switch (wish.verb) {
    case 'advance':
      return { verb: 'advance', to: wish.to }
    case 'route':
      return wish
    case 'rollback': {
      const phases = statusesOf(seen).map(({ state }) => state.phase)
      const furthest = phases.sort((a, b) => phaseRank(b) - phaseRank(a))[0]
      return furthest === undefined || furthest === 'rolled-back'
        ? { verb: 'rollback' }
        : { verb: 'rollback', from: furthest }
    }
    case 'align': {
      const model = seen.find(({ name }) => name === wish.like)
      if (model?.status == null) {
        const names = seen.map(({ name }) => name).join(', ')
        throw new ControlError(
          ControlErrorCode.NO_SUCH_WAY,
          `align: ${wish.like} is ${model === undefined ? `no instance of the deployment (${names})` : `not to be reached: ${model.error}`}`,
        )
      }
      return { verb: 'align', state: model.status.state }
    }
  }
}

/** What only all instances together can tell, for this wish; going back is held up by nothing but its own needs. */
export const deploymentChecks = (wish: Wish, seen: readonly Seen[]): readonly CheckResult[] => {
  const goesForward = wish.verb === 'advance' || wish.verb === 'route'
  // Of a phase's own checks, those that no instance can tell alone.
  const ofPhase = wish.verb === 'advance' ? PHASE_TABLE[wish.to].entryChecks : []
  const ofAll = goesForward ? DEPLOYMENT_CHECKS : DEPLOYMENT_CHECKS_BACK
  return checkDeployment([...ofAll, ...ofPhase], seen)
}
