//! The actions of EC2: enough to look at instances and to stop them, both subject to IAM.

use super::call::Call;
use super::refusal::Refusal;
use super::state::{Instance, State};
use super::{clock, xml};

/// Codes and names of states (EC2 API reference, InstanceState).
const RUNNING: (u8, &str) = (16, "running");
const STOPPING: (u8, &str) = (64, "stopping");

impl Instance {
    fn state(&self) -> (u8, &'static str) {
        if self.stopping { STOPPING } else { RUNNING }
    }
}

pub(crate) fn describe_instances(call: &Call, state: &State) -> Result<String, Refusal> {
    call.takes(&["InstanceId", "MaxResults"])?;
    // DescribeInstances has no resource types of its own: policies must say `*` (Service Authorization Reference).
    state.authorize("ec2:DescribeInstances", "*", &call.caller, call.now)?;
    let wanted = call.list("InstanceId");
    known(&wanted, state)?;
    let chosen = |id: &str| wanted.is_empty() || wanted.contains(&id);
    let items: String = state
        .instances
        .iter()
        .filter(|instance| chosen(&instance.id))
        .map(|instance| {
            let (code, name) = instance.state();
            format!(
                "<item><instanceId>{}</instanceId><instanceState><code>{code}</code><name>{name}</name>\
                 </instanceState><instanceType>t3.micro</instanceType><launchTime>{}</launchTime></item>",
                xml::text(&instance.id),
                clock::iso(0)
            )
        })
        .collect();
    Ok(format!(
        "<reservationSet><item><reservationId>r-0abc</reservationId><ownerId>{}</ownerId><groupSet/>\
         <instancesSet>{items}</instancesSet></item></reservationSet>",
        xml::text(&state.account)
    ))
}

pub(crate) fn stop_instances(call: &Call, state: &mut State) -> Result<String, Refusal> {
    call.takes(&["Force", "Hibernate", "InstanceId"])?;
    let wanted = call.list("InstanceId");
    if wanted.is_empty() {
        return Err(Refusal::Validation("The request must contain the parameter InstanceId".into()));
    }
    for id in &wanted {
        let resource = format!("arn:{}:ec2:{}:{}:instance/{id}", state.partition, call.region, state.account);
        state.authorize("ec2:StopInstances", &resource, &call.caller, call.now)?;
    }
    known(&wanted, state)?;
    let mut items = String::new();
    for instance in state.instances.iter_mut().filter(|instance| wanted.contains(&instance.id.as_str())) {
        let (previous_code, previous) = instance.state();
        instance.stopping = true;
        let (code, current) = instance.state();
        items.push_str(&format!(
            "<item><instanceId>{}</instanceId><currentState><code>{code}</code><name>{current}</name></currentState>\
             <previousState><code>{previous_code}</code><name>{previous}</name></previousState></item>",
            xml::text(&instance.id)
        ));
    }
    Ok(format!("<instancesSet>{items}</instancesSet>"))
}

/// Whether every instance asked for exists; checked after IAM, as EC2 does.
fn known(wanted: &[&str], state: &State) -> Result<(), Refusal> {
    match wanted.iter().find(|id| !state.instances.iter().any(|instance| instance.id == **id)) {
        Some(id) => Err(Refusal::InvalidInstance((*id).into())),
        None => Ok(()),
    }
}
